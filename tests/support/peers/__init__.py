"""Programs of other makers that the tests talk to: DCMTK's tools and servers, and Orthanc."""
