"""What the demonstration PACS holds: patients, studies, series, and what each is made from.

Data only; `corpus` makes files of it. The sources are files that pydicom ships, invented or
anonymised by their authors, chosen so that most of what a node meets is there: several
modalities, colour and multi-frame images, reports, waveforms and plans, names in several
scripts, and uncompressed, JPEG, JPEG-LS, JPEG 2000 and RLE transfer syntaxes.
"""

from dataclasses import dataclass

LATIN = ("ISO_IR 100",)
JAPANESE = ("", "ISO 2022 IR 87")
KOREAN = ("", "ISO 2022 IR 149")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPatient:
    """Who a study is of; `charset` is the Specific Character Set that the name needs."""

    identifier: str
    name: str
    birth_date: str
    sex: str
    charset: tuple[str, ...] = LATIN


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSeries:
    """Images of one modality: each source file, `copies` times."""

    modality: str
    description: str
    sources: tuple[str, ...]
    copies: int = 1

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self.sources) * self.copies


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoStudy:
    """An examination, `days_ago` days before the corpus's own day, at `time` (HHMMSS)."""

    patient: DemoPatient
    days_ago: int
    time: str
    description: str
    series: tuple[DemoSeries, ...]


ERIKA = DemoPatient(identifier="DEMO-1001", name="Muster^Erika", birth_date="19640812", sex="F")
JEROME = DemoPatient(identifier="DEMO-1002", name="Buc^Jérôme", birth_date="19711103", sex="M")
TAROU = DemoPatient(
    identifier="DEMO-1003",
    name="Yamada^Tarou=山田^太郎=やまだ^たろう",
    birth_date="19590430",
    sex="M",
    charset=JAPANESE,
)
GILDONG = DemoPatient(
    identifier="DEMO-1004",
    name="Hong^Gildong=洪^吉洞=홍^길동",
    birth_date="19820117",
    sex="M",
    charset=KOREAN,
)
RUEDIGER = DemoPatient(identifier="DEMO-1005", name="Äneas^Rüdiger", birth_date="19480225", sex="M")
ANNA = DemoPatient(identifier="DEMO-1006", name="O'Hara^Anna^Maria", birth_date="19930606", sex="F")

STUDIES = (
    DemoStudy(
        patient=ERIKA,
        days_ago=1,
        time="081500",
        description="CT thorax",
        series=(
            DemoSeries(modality="CT", description="Axial", sources=("CT_small.dcm",), copies=16),
            DemoSeries(
                modality="CT", description="Axial, J2K", sources=("693_J2KI.dcm",), copies=4
            ),
            DemoSeries(modality="SEG", description="Segmentation", sources=("liver_1frame.dcm",)),
            DemoSeries(modality="SR", description="Report", sources=("test-SR.dcm",)),
        ),
    ),
    DemoStudy(
        patient=JEROME,
        days_ago=2,
        time="093045",
        description="IRM cérébrale",
        series=(
            DemoSeries(
                modality="MR",
                description="T1, sans compression",
                sources=("MR_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm"),
                copies=3,
            ),
            DemoSeries(
                modality="MR",
                description="T2, comprimé",
                sources=(
                    "MR_small_RLE.dcm",
                    "MR_small_jpeg_ls_lossless.dcm",
                    "MR_small_jp2klossless.dcm",
                ),
                copies=3,
            ),
        ),
    ),
    DemoStudy(
        patient=ANNA,
        days_ago=0,
        time="074210",
        description="Echocardiography",
        series=(
            DemoSeries(modality="US", description="Cine", sources=("examples_ybr_color.dcm",)),
            DemoSeries(
                modality="US",
                description="Stills",
                sources=("examples_jpeg2k.dcm", "examples_rgb_color.dcm", "ExplVR_BigEnd.dcm"),
            ),
            DemoSeries(modality="ECG", description="12 leads", sources=("waveform_ecg.dcm",)),
        ),
    ),
    DemoStudy(
        patient=TAROU,
        days_ago=3,
        time="110500",
        description="Chest PA and lateral",
        series=(
            DemoSeries(modality="CR", description="Chest", sources=("chrJapMulti.dcm",), copies=2),
            DemoSeries(modality="OT", description="Scanned form", sources=("chrH31.dcm",)),
        ),
    ),
    DemoStudy(
        patient=GILDONG,
        days_ago=4,
        time="134000",
        description="Hand, left",
        series=(
            DemoSeries(
                modality="CR", description="Hand", sources=("chrKoreanMulti.dcm",), copies=2
            ),
            DemoSeries(modality="SR", description="Report", sources=("reportsi.dcm",)),
        ),
    ),
    DemoStudy(
        patient=RUEDIGER,
        days_ago=5,
        time="150230",
        description="RT planning",
        series=(
            DemoSeries(modality="CT", description="Planning", sources=("CT_small.dcm",), copies=10),
            DemoSeries(modality="RTSTRUCT", description="Structures", sources=("rtstruct.dcm",)),
            DemoSeries(modality="RTPLAN", description="Plan", sources=("rtplan.dcm",)),
            DemoSeries(
                modality="RTDOSE",
                description="Dose",
                sources=("rtdose.dcm", "rtdose_rle.dcm", "rtdose_expb.dcm"),
            ),
        ),
    ),
    DemoStudy(
        patient=ANNA,
        days_ago=6,
        time="162000",
        description="Photographs",
        series=(
            DemoSeries(
                modality="XC",
                description="Skin",
                sources=(
                    "SC_rgb_jpeg_dcmtk.dcm",
                    "SC_rgb_dcmtk_+eb+cy+s2.dcm",
                    "SC_rgb_jpeg_gdcm.dcm",
                    "SC_rgb_gdcm_KY.dcm",
                    "SC_rgb_rle.dcm",
                    "SC_rgb_rle_2frame.dcm",
                    "SC_ybr_full_422_uncompressed.dcm",
                    "SC_rgb_small_odd_big_endian.dcm",
                ),
            ),
        ),
    ),
    DemoStudy(
        patient=ERIKA,
        days_ago=40,
        time="101010",
        description="Bone scan",
        series=(
            DemoSeries(
                modality="NM",
                description="Whole body",
                sources=("JPGExtended.dcm", "JPEG2000.dcm"),
                copies=2,
            ),
        ),
    ),
)
"""8 studies of 6 patients; all but the last within a week before the corpus's day."""
