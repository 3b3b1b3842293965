"""WADO-RS, the retrieval of DICOMweb (PS3.18 10.4), for peers that have a URL.

1. `line` asks for a study, series or instance, over the connections of `node.net.qido.client`, and
   `refusals` says what a response means that brings no images.
2. `media` reads the Content-Type of a response or a part, and `multipart` the response's body: its
   parts, as their bytes come; without any I/O.
3. `objects` hands what each part holds to the store: the bytes of its dataset as they are, once its
   header (`node.dicom.file_meta`) has said what it is.

Memory is bounded, however large a part is. Import `line` (which loads the HTTP library) and
`objects` from outside.
"""
