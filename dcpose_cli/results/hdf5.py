"""Arrays of HDF5 files of others: only what is inside the file, and no more than its bytes can hold.

A data set may claim any size, have its values in another file, or be text of any length. The functions raise KeyError
or ValueError.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: zlib packs zeros to less than a thousandth; nothing that is read here packs more.
_MOST_PACKED: Final = 1_100
#: What a data set may unpack to whatever its bytes are, and at most.
_SMALL_BYTES: Final = 1 << 20
_MOST_BYTES: Final = 4 << 30
#: Longest text in an array, bytes.
_MOST_TEXT: Final = 1_000


def members(group: Any) -> list[Any]:
    """What a file or group holds itself; links into other files and to other places are left out."""
    return [group[name] for name in group if _is_inside(group, name)]


def array(group: Any, name: str) -> NDArray[Any]:
    """A data set of numbers, texts, or records of them."""
    import h5py

    if name not in group or not _is_inside(group, name) or not isinstance(group[name], h5py.Dataset):
        raise KeyError(name)
    data = group[name]
    if data.is_virtual or data.external:
        raise ValueError(f"the values of its {name} are in another file")
    if data.shape is None:
        raise ValueError(f"its {name} is empty")
    _require_plain(data.dtype, name)
    claimed = int(np.prod(data.shape, dtype=object)) * data.dtype.itemsize
    if claimed > min(_MOST_BYTES, max(_SMALL_BYTES, _MOST_PACKED * data.id.get_storage_size())):
        raise ValueError(f"its {name} claims {claimed:,} bytes, more than the file holds")
    return np.asarray(data[()])


def _is_inside(group: Any, name: str) -> bool:
    import h5py

    return isinstance(group.get(name, getlink=True), h5py.HardLink)


def _require_plain(dtype: Any, name: str) -> None:
    """Raises ValueError for kinds of values that are no numbers or short texts: those of any length among them."""
    if dtype.names:
        for field in dtype.names:
            _require_plain(dtype[field], name)
        return
    base = dtype.base
    if base.kind not in "biufS" or (base.kind == "S" and base.itemsize > _MOST_TEXT):
        raise ValueError(f"its {name} is made of neither numbers nor short texts")
