"""DICOM without input and output: identifiers, UIDs, status values, the file format's header."""
