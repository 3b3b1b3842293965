"""What we say of ourselves in every association."""

from node.dicom.part10 import IMPLEMENTATION_CLASS_UID
from node.upperlayer import UserInformation

IMPLEMENTATION_VERSION_NAME = "DICOM_NODE"
"""PS3.7 D.3.3.2: up to 16 characters that tell peers what they are speaking to."""

MAXIMUM_PDU_LENGTH = 131072
"""Bytes of P-DATA that we take in one PDU (PS3.8 D.1): DCMTK's own maximum."""

OURSELVES = UserInformation(
    maximum_length=MAXIMUM_PDU_LENGTH,
    implementation_class_uid=IMPLEMENTATION_CLASS_UID,
    implementation_version_name=IMPLEMENTATION_VERSION_NAME,
)
