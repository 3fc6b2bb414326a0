"""A catalogue of the published datasets: facts, and the names of their addresses in tonic.

A fact that the sources do not state is not stated here either (None).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Sensor = tuple[int, int, int]

_DIGITS = tuple("0123456789")
_WORDS = """
accused action allow allowed america american another around attacks banks become being
benefit benefits between billion called capital challenge change chief couple court death
described difference different during economic education election england evening everything
exactly general germany giving ground happen happened having heavy house hundreds
immigration judge labour leaders legal little london majority meeting military million
minutes missing needs number numbers paying perhaps point potential press price question
really right russia russian saying security several should significant spend spent started
still support syria syrian taken taking terms these thing think times tomorrow under warning
water welcome words worst years young
"""


@dataclass(frozen=True)
class Description:
    """A description of a published dataset.

    Args:
        title: the title of the dataset.
        what: a phrase that says what it is, for reports.
        sensor: the sensor (polarities, height, width) of the recordings.
        classes: the name of each class; empty where they are read from the data itself.
        recordings: the numbers of recordings to train and to test, or the number of all where there
            is no published split.
        split: who drew the split.
        licence: the licence of the data, as its authors state it, or None.
        citation: the authors, title, journal and year of the publication.
        tonic: the class in `tonic.datasets`; empty where tonic does not know it.
        archives: the archives: for each, the names of tonic's attributes for its address, file and
            MD5 sum, and a pattern of the files that it holds; where such a file is there, nothing
            is fetched.
        address: the address where it is to be had by hand, where tonic does not know it.
        folder: the default folder of the dataset in `datasets/`.
        layout: the layout of the folder.
        binning: the recommended options of preprocessing and binning, the defaults of its options.
    """

    title: str
    what: str
    sensor: Sensor
    classes: tuple[str, ...]
    recordings: tuple[int, ...]
    split: str
    licence: str | None
    citation: str
    folder: str
    layout: str
    tonic: str = ""
    archives: tuple[tuple[str, str, str, str], ...] = ()
    address: str = ""
    binning: Mapping[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """The title, authors and licence, for reports."""
        licence = f", {self.licence}" if self.licence else ""
        return f"{self.title}, {self.what} ({self.citation.split(',')[0]}{licence})"


_PARTS = (
    ("train_url", "train_filename", "train_md5"),
    ("test_url", "test_filename", "test_md5"),
)
_ONE = ("url", "filename", "file_md5")
_OURS = "ours: a fifth tests, drawn by class and stored in split.json"
_ORCHARD = (
    "G. Orchard, A. Jayawant, G. Cohen, N. Thakor, Converting static image datasets to spiking "
    "neuromorphic datasets using saccades, Frontiers in Neuroscience 9, 2015"
)
_SUITS = ("clubs", "hearts", "diamonds", "spades")
_POKER = (
    "T. Serrano-Gotarredona, B. Linares-Barranco, Poker-DVS and MNIST-DVS: their history, how they "
    "were made, and other details, Frontiers in Neuroscience 9, 2015"
)

DESCRIPTIONS: dict[str, Description] = {
    "nmnist": Description(
        title="N-MNIST",
        what="digits of MNIST before a moving event camera",
        sensor=(2, 34, 34),
        classes=_DIGITS,
        recordings=(60_000, 10_000),
        split="published",
        licence="CC BY-SA 4.0",
        citation=_ORCHARD,
        tonic="NMNIST",
        archives=((*_PARTS[0], "Train/**/*.bin"), (*_PARTS[1], "Test/**/*.bin")),
        folder="NMNIST",
        layout="Train/<label>/<id>.bin and Test/<label>/<id>.bin, with labels 0 to 9",
    ),
    "ncaltech101": Description(
        title="N-Caltech101",
        what="images of Caltech101 before a moving event camera",
        sensor=(2, 180, 240),
        classes=(),
        recordings=(8_709,),
        split=_OURS,
        licence=None,
        citation=_ORCHARD,
        tonic="NCALTECH101",
        archives=((*_ONE, "Caltech101/**/*.bin"),),
        folder="NCALTECH101",
        layout="Caltech101/<class>/<image>.bin",
        binning={"preprocess": [{"name": "downsample", "factor": 4}]},
    ),
    "pokerdvs": Description(
        title="POKER-DVS",
        what="symbols of playing cards flicked before an event camera",
        sensor=(2, 35, 35),
        classes=_SUITS,
        recordings=(48, 20),
        split="published",
        licence=None,
        citation=_POKER,
        tonic="POKERDVS",
        archives=(
            ("", "train_filename", "train_md5", "pips_train/**/*.npy"),
            ("", "test_filename", "test_md5", "pips_test/**/*.npy"),
        ),
        folder="POKERDVS",
        layout="pips_train/<suit>/<id>.npy and pips_test/<suit>/<id>.npy, suits cl he di sp",
    ),
    "pokerdvs_originals": Description(
        title="POKER-DVS originals",
        what="131 symbols of playing cards, the 68 of POKER-DVS among them, as they were recorded",
        sensor=(2, 35, 35),
        classes=_SUITS,
        recordings=(131,),
        split=_OURS,
        licence=None,
        citation=_POKER,
        address="http://www2.imse-cnm.csic.es/caviar/POKERDVS.html",
        folder="POKERDVS",
        layout="poker_dvs/x<suit><number>.aedat, with an i for an inverted one",
    ),
    "evtouch": Description(
        title="EvTouch Containers",
        what="20 containers in the grasp of an event-based fingertip, 39 taxels",
        sensor=(2, 1, 39),
        classes=tuple(f"container {n}" for n in range(20)),
        recordings=(240, 60),
        split="published",
        licence=None,
        citation="F. Gu, W. Sng, T. Taunyazov, H. Soh, TactileSGNet: a spiking graph neural "
        "network for event-based tactile object recognition, IROS 2020",
        address="https://github.com/clear-nus/TactileSGNet",
        folder="EvTouch",
        layout="Ev-Containers.zip, or the folder in it: train/sample_<n>_label_<class>.npy and "
        "test/...",
        binning={"steps": 65, "binning": "duration", "bin_ms": 100.0},
    ),
    "dvs_gesture": Description(
        title="DVS128 Gesture",
        what="hand and arm gestures of 29 people before an event camera",
        sensor=(2, 128, 128),
        classes=(
            "hand clapping",
            "right hand wave",
            "left hand wave",
            "right arm clockwise",
            "right arm counter-clockwise",
            "left arm clockwise",
            "left arm counter-clockwise",
            "arm roll",
            "air drums",
            "air guitar",
            "other gestures",
        ),
        recordings=(1_077, 264),
        split="published, by person",
        licence="CC BY 4.0",
        citation="A. Amir, B. Taba, D. Berg et al., A low power, fully event-based gesture "
        "recognition system, CVPR 2017",
        tonic="DVSGesture",
        archives=(
            (*_PARTS[0], "ibmGestureTrain/**/*.npy"),
            (*_PARTS[1], "ibmGestureTest/**/*.npy"),
        ),
        folder="DVSGesture",
        layout="ibmGestureTrain/<user>_<light>/<label>.npy and ibmGestureTest/..., labels 0 to 10",
        binning={"steps": 50, "preprocess": [{"name": "downsample", "factor": 4}]},
    ),
    "cifar10_dvs": Description(
        title="CIFAR10-DVS",
        what="images of CIFAR-10 moved before an event camera",
        sensor=(2, 128, 128),
        classes=(
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ),
        recordings=(10_000,),
        split=_OURS,
        licence="CC BY 4.0",
        citation="H. Li, H. Liu, X. Ji, G. Li, L. Shi, CIFAR10-DVS: an event-stream dataset for "
        "object classification, Frontiers in Neuroscience 11, 2017",
        tonic="CIFAR10DVS",
        archives=((*_ONE, "**/*.aedat4"),),
        folder="CIFAR10DVS",
        layout="<class>/<image>.aedat4",
        binning={"preprocess": [{"name": "downsample", "factor": 4}]},
    ),
    "shd": Description(
        title="Spiking Heidelberg Digits",
        what="spoken digits, English and German, through a model of the cochlea",
        sensor=(1, 1, 700),
        classes=(*(f"English {n}" for n in range(10)), *(f"German {n}" for n in range(10))),
        recordings=(8_156, 2_264),
        split="published; two speakers are heard in the test alone",
        licence="CC BY 4.0",
        citation="B. Cramer, Y. Stradmann, J. Schemmel, F. Zenke, The Heidelberg spiking data sets "
        "for the systematic evaluation of spiking neural networks, IEEE TNNLS 2020",
        tonic="SHD",
        archives=(
            ("base_url", "train_zip", "train_md5", "shd_train.h5"),
            ("base_url", "test_zip", "test_md5", "shd_test.h5"),
        ),
        folder="SHD",
        layout="shd_train.h5 and shd_test.h5",
        binning={"steps": 100, "binning": "duration", "bin_ms": 14.0},
    ),
    "ssc": Description(
        title="Spiking Speech Commands",
        what="35 spoken commands through a model of the cochlea",
        sensor=(1, 1, 700),
        classes=tuple(f"command {n}" for n in range(35)),
        recordings=(75_466, 9_981, 20_382),
        split="published, with a validation part",
        licence="CC BY 4.0",
        citation="B. Cramer, Y. Stradmann, J. Schemmel, F. Zenke, The Heidelberg spiking data sets "
        "for the systematic evaluation of spiking neural networks, IEEE TNNLS 2020",
        tonic="SSC",
        archives=(
            ("base_url", "train_zip", "train_md5", "ssc_train.h5"),
            ("base_url", "valid_zip", "valid_md5", "ssc_valid.h5"),
            ("base_url", "test_zip", "test_md5", "ssc_test.h5"),
        ),
        folder="SSC",
        layout="ssc_train.h5, ssc_valid.h5 and ssc_test.h5",
        binning={"steps": 100, "binning": "duration", "bin_ms": 10.0},
    ),
    "ntidigits18": Description(
        title="N-TIDIGITS18",
        what="spoken digits before a silicon cochlea; of its strings of digits, the single ones",
        sensor=(1, 1, 64),
        classes=("oh", "1", "2", "3", "4", "5", "6", "7", "8", "9", "zero"),
        recordings=(2_464, 2_486),
        split="published, by speaker",
        licence=None,
        citation="J. Anumula, D. Neil, T. Delbruck, S.-C. Liu, Feature representations for "
        "neuromorphic audio spike streams, Frontiers in Neuroscience 12, 2018",
        tonic="NTIDIGITS18",
        archives=(("base_url", "filename", "file_md5", "n-tidigits.hdf5"),),
        folder="NTIDIGITS18",
        layout="n-tidigits.hdf5",
        binning={"steps": 100, "binning": "duration", "bin_ms": 10.0},
    ),
    "dvs_lip": Description(
        title="DVS-Lip",
        what="100 words read from lips before an event camera",
        sensor=(2, 128, 128),
        classes=tuple(_WORDS.split()),
        recordings=(14_896, 4_975),
        split="published, by speaker",
        licence=None,
        citation="G. Tan, Y. Wang, H. Han et al., Multi-grained spatio-temporal features perceived "
        "network for event-based lip-reading, CVPR 2022",
        tonic="DVSLip",
        archives=(("base_url", "filename", "file_md5", "DVS-Lip/**/*.npy"),),
        folder="DVSLip",
        layout="DVS-Lip/train/<word>/<id>.npy and DVS-Lip/test/<word>/<id>.npy",
        binning={"steps": 30, "preprocess": [{"name": "downsample", "factor": 4}]},
    ),
    "asl_dvs": Description(
        title="ASL-DVS",
        what="24 letters of the American Sign Language before an event camera",
        sensor=(2, 180, 240),
        classes=tuple("abcdefghiklmnopqrstuvwxy"),
        recordings=(100_800,),
        split=_OURS,
        licence=None,
        citation="Y. Bi, A. Chadha, A. Abbas, E. Bourtsoulatze, Y. Andreopoulos, Graph-based "
        "object classification for neuromorphic vision sensing, ICCV 2019",
        tonic="ASLDVS",
        archives=((*_ONE, "**/*.mat"),),
        folder="ASLDVS",
        layout="<folder of a subject>/<letter>/<id>.mat, letters a to y without j",
        binning={"preprocess": [{"name": "downsample", "factor": 4}]},
    ),
    "smnist": Description(
        title="Spiking sequential MNIST",
        what="MNIST pixel by pixel, a spike for each grey level that is crossed",
        sensor=(1, 1, 99),
        classes=_DIGITS,
        recordings=(60_000, 10_000),
        split="published",
        licence="CC BY-SA 3.0 (images of MNIST)",
        citation="Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits, 1998; "
        "coded as in tonic",
        tonic="SMNIST",
        archives=tuple(
            ("base_url", f"{part}_{kind}_file", f"{part}_{kind}_md5", f"{name}-{kind}-*ubyte*")
            for part, name in (("train", "train"), ("test", "t10k"))
            for kind in ("images", "labels")
        ),
        folder="MNIST",
        layout="the four IDX files of MNIST, gzip or not",
        binning={"steps": 98},
    ),
}
