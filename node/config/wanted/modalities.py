"""Modalities that there are: a slip is worth a note, for nothing has that modality."""

from collections.abc import Iterator, Mapping

from node.config.suggest import did_you_mean

_TERMS = """
ANN AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DG DMS DOC DX ECG EEG EMG EOG EPS ES FID GM HC HD IO
IOL IVOCT IVUS KER KO LEN LS M3D MG MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS OT PA PLAN POS PR
PT PX REG RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR
SR SRF STAIN TEXTUREMAP TG US VA XA XAPROTOCOL XC
"""
_FORMER = "AS CD CF CP CS DD DF DM DS EC FA FS LP MA MS OPR ST VF"

_DEFINED = frozenset(_TERMS.split())
"""The defined terms (PS3.3 C.7.3.1.1.1) ..."""

_RETIRED = frozenset(_FORMER.split())
"""... and those that were, and that archives have."""


def doubtful_modalities(settings: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Say of modalities that the standard does not know; nothing hinders a PACS from having them.

    Parameters
    ----------
    settings
        The modalities of each setting, by its name.
    """
    for name, modalities in settings.items():
        for one in modalities:
            if one in _DEFINED or one in _RETIRED:
                continue
            slip = did_you_mean(one, sorted(_DEFINED))
            yield f"{name}: the standard has no modality {one} (PS3.3 C.7.3.1.1.1){slip}"
