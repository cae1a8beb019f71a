"""HDF5, netCDF and FITS: how these files begin, and where they say that they end."""

from typing import BinaryIO

from validation.readiness.checkpoints.forms import Malformed
from validation.readiness.data.netcdf import VERSIONS, look_at_classic

_HDF5 = b"\x89HDF\r\n\x1a\n"
_FITS = b"SIMPLE  ="
_FITS_BLOCK = 2880
_UNDEFINED = 0xFF


def look_at_hdf5(file: BinaryIO, size: int) -> None:
    """Judge the superblock: the HDF5 file format specification 3.0, section II.A."""
    place = _superblock(file, size)
    if place is None:
        raise Malformed("it does not begin as an HDF5 file does")
    file.seek(place)
    block = file.read(256)
    version = block[8] if len(block) > 8 else 255
    if version in (0, 1):
        wide, before = block[13], 24 + 4 * version
    elif version in (2, 3):
        wide, before = block[9], 12
    else:
        raise Malformed(f"an HDF5 superblock of version {version}, which does not exist")
    address = block[before + 2 * wide : before + 3 * wide]
    if wide not in (2, 4, 8, 16) or len(address) < wide:
        raise Malformed("the HDF5 superblock is damaged")
    end = int.from_bytes(address, "little")
    if any(byte != _UNDEFINED for byte in address) and end > size:
        raise Malformed(f"the file says that it ends at byte {end}, and has {size}: it was cut off")


def look_at_netcdf(file: BinaryIO, size: int) -> None:
    """Judge either kind of netCDF: the older has a header of its own, the newer is HDF5."""
    if file.read(4) in VERSIONS:
        look_at_classic(file, size)
    else:
        look_at_hdf5(file, size)


def look_at_fits(file: BinaryIO, size: int) -> None:
    """Judge the beginning, and that whole blocks are there (FITS standard 4.0, section 3.1)."""
    if file.read(len(_FITS)) != _FITS:
        raise Malformed("it does not begin as a FITS file does")
    if size % _FITS_BLOCK:
        raise Malformed(f"{size} bytes are no whole number of blocks of {_FITS_BLOCK}: it was cut off")


def _superblock(file: BinaryIO, size: int) -> int | None:
    """Return where the superblock is: at the beginning, or at 512 bytes or twice, four times ... as many."""
    place = 0
    while place < size:
        file.seek(place)
        if file.read(len(_HDF5)) == _HDF5:
            return place
        place = 2 * place or 512
    return None
