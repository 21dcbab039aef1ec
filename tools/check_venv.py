"""Does a Python environment hold what the requirement lists ask for? Changes nothing.

    VENV/bin/python tools/check_venv.py tools/requirements.txt [more.txt ...]

Run by the interpreter of the environment that is to be checked. Walks the requirements and theirs, and compares every
installed file with its size in the package's RECORD, so that an interrupted installation is found out. Prints a line
for each finding and exits 1 if there is one:

    missing NAME REQUIREMENT     not installed, or another version
    broken NAME==VERSION         installed in part: a file is gone or has another size
"""

import sys
from importlib import metadata
from pathlib import Path

try:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name
except ImportError:  # a fresh environment has pip's copy only
    from pip._vendor.packaging.requirements import Requirement
    from pip._vendor.packaging.utils import canonicalize_name


def read_requirements(paths):
    for path in paths:
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            text = line.split("#")[0].strip()
            if text:
                yield Requirement(text)


def is_whole(distribution):
    """True when every file that the package brought is there with its size."""
    if not distribution.read_text("METADATA"):
        return False
    files = distribution.files
    if not files:  # some other installer, which keeps no RECORD: nothing to compare with
        return True
    for file in files:
        if file.suffix == ".pyc" or file.size is None:
            continue
        try:
            size = Path(file.locate()).stat().st_size
        except OSError:
            return False
        # Scripts (../../../bin) are rewritten for the environment: their size may differ.
        if size != file.size and ".." not in file.parts:
            return False
    return True


def findings(requirements):
    seen = set()
    queue = list(requirements)
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        key = (name, str(requirement.specifier), tuple(sorted(requirement.extras)))
        if key in seen:
            continue
        first_visit = all(name != other for other, _, _ in seen)
        seen.add(key)
        try:
            distribution = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            yield f"missing {name} {requirement}"
            continue
        if not distribution.version or not requirement.specifier.contains(distribution.version, prereleases=True):
            yield f"missing {name} {requirement}"
            continue
        if first_visit and not is_whole(distribution):
            yield f"broken {name}=={distribution.version}"
            continue
        for text in distribution.requires or []:
            child = Requirement(text)
            extras = requirement.extras or {""}
            if child.marker is None or any(child.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
                queue.append(child)


def main(paths):
    found = sorted(set(findings(read_requirements(paths))))
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
