"""What trained models say of processed sound: AECMOS and DNSMOS (speechmos), at 16 kHz, 1 to 5."""

import warnings

import numpy as np

from bench.report import CannotRun
from bench.sounds import Sound
from raccall.units import SAMPLE_RATE_HZ

MOS_RATE_HZ = 16_000


def passage(samples: Sound, start_s: float, end_s: float) -> Sound:
    return samples[int(start_s * SAMPLE_RATE_HZ) : int(end_s * SAMPLE_RATE_HZ)]


def echo_mos(talk: str, far: Sound, mic: Sound, out: Sound) -> tuple[float, float]:
    """How little echo, how little damage. talk: st = far end alone, nst = near alone, dt = both. Raises CannotRun."""
    given = {"lpb": _for_mos(far), "mic": _for_mos(mic), "enh": _for_mos(out)}
    result = _model("aecmos").run(given, MOS_RATE_HZ, talk_type=talk)
    return float(result["echo_mos"]), float(result["deg_mos"])


def noise_mos(samples: Sound) -> tuple[float, float]:
    """DNSMOS P.835: overall, background. Raises CannotRun."""
    result = _model("dnsmos").run(_for_mos(samples), MOS_RATE_HZ)
    return float(result["ovrl_mos"]), float(result["bak_mos"])


def _model(name: str) -> object:
    warnings.filterwarnings("ignore", category=UserWarning)  # librosa, which reads no file here
    try:
        return __import__(f"speechmos.{name}", fromlist=[name])
    except ImportError as missing:
        raise CannotRun(f"{missing.name} is not installed (pip install 'raccall[bench]')") from None


def _for_mos(samples: Sound) -> np.ndarray:
    from scipy.signal import resample_poly

    return np.clip(resample_poly(samples, MOS_RATE_HZ, SAMPLE_RATE_HZ), -1, 1).astype(np.float32)
