"""Who spoke how long in a recording, and how often they came in while somebody else was speaking.

python examples/who_spoke.py DIR
"""

import sys
from collections import Counter

import raccall
from raccall.errors import RaccallError


def main(folder: str) -> int:
    try:
        segments = raccall.Recording.open(folder).segments
    except RaccallError as error:
        print(error, file=sys.stderr)
        return 1
    spoken_s: Counter[str] = Counter()
    came_in: Counter[str] = Counter()
    for segment in segments:
        spoken_s[segment.name] += segment.end_s - segment.begin_s
        came_in[segment.name] += any(
            other.begin_s < segment.begin_s < other.end_s for other in segments if other.file_name != segment.file_name
        )
    for name, seconds in spoken_s.most_common():
        print(f"{name:20} {seconds:7.1f} s   came in {came_in[name]} times")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) if len(sys.argv) == 2 else __doc__)
