"""The files of public sets: FashionMNIST (idx), CIFAR-10, CelebA's split and attributes, LSUN (LMDB)."""

import base64
import gzip
import io
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from phasewave.images.cifar_files import CLASSES
from phasewave.images.public_sets import CHECKSUMS, check_public
from phasewave.images.reading import read_images

# Written by LMDB 0.9 (py-lmdb) in two transactions: keys f"{i:04x}" * 10, i = 0 .. 39; values: grey pictures, all
# pixels 5 i, of 16x16, or 80x80 (on pages of their own) where i % 13 == 5.
DATABASE = (
    "c-rmVzfV(P6vpw}+m_x^@ESu1EDecE7n8Qo77`a178Apuiy<-m3@$D%E-uEzg+&KraB*>QadB}WMi=5=(8=&0xVkAV<@TJG=s`Nb"
    "J>O4wxQHduCk}n@ea~wUoQS%ge|-75p9!R^$t4Q<zoTE%|8=as8z$e+^{!*RYo&KB4*Xmg000000Dw`;oN4|4Z@+s6*Z<+beSoQf"
    "`vK9=p9cT{0001tN+`an1m*DSmFJVo6H)1V@m29|G+k)t_j0S*a(H-2|9+F*8w!=6TCHwaveKBVH9H^mMq~V@bF#g4OH_L;=VW_p"
    "mZ<jX&dK(cEK%*<a89<jXo+gC;+$-+Wr=F<x^uF<rX{MqvU9=YZ09LRx4niX+2MCO3zn$Xr<{}R&0C_{i=C70)h$u&c_-VeS)$s@"
    "J15&SQSG^3|7Vl0a@~6YN9`<DJ0G2PW&r>I00000002^k?V$jGl*)_!|8v1~p}+rsH|p&Fry&4<AN@UrwRua_p27#ti5={<x+R6-"
    ")@zoi*6%qd+cRw>R_(1gCwCEVTcX;#?VN0H%M#VzvU9S%O-odJx13|b`&<*=W667-OfVH3#J}Q$nD>7G00000TujH$@$Gj(PR{-7"
    "Kj1%Q{{KDz000000000$%J5hT0FY9}<f}|D6YO;N|G$ZMm;nF)0002sKV0d4?(EO6FIZAaUSC_ZWITEO+4leU{|ChI=%>r!;Q4>;"
    "{9bM~TMiE|Y474x98-_#bciR;$@W^7sP-N^C);aUqS|}poNTXQiE8hmbF#e!OH_NC&T;-9=l^m3ALsvZ{vYT6asD6Y|E2i+ztUgU"
    "|91*$TL0VbyQqI1pPZBJ&0C_{`{<l(uWpHI?}Kx)y_zMez4y+^_Ntbs_TD)sSFqcbOboAJw=7YuzjjWxw`qxL@1=9Hy$wrLd%Mob"
    "_SP*??Y(eLwzp=9YVVnIvb`lsRC`aI;|cG%p72g2E9Fzp|9cAn000000001xGK{SP08)J}!SVk8nII~qZT=r4Iz55;f9C(0|7ZT6"
    "`G4mBng3`0KehA!^_C^7y>HIR_L`Qc_V%5V?KLb>?R|ER3GZ`Fc*kP>e=TUo?KoZY{}|Ef3C#a9|IhqC^Z(5MGyl*0KlA_0|1<y3"
    "{6F*m%>Q3VGu`(iQ4l7p`(tChYrc2=10erYV*"
)


def bytes_of(n, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def fashion(folder, pack=gzip.compress, suffix=".gz"):
    """Write four files as those of FashionMNIST, with few images, and return the arrays."""
    folder.mkdir(exist_ok=True)
    arrays = {}
    for part, n in (("train", 12), ("t10k", 4)):
        arrays[part] = bytes_of(n, 28, 28, seed=n), np.arange(n, dtype=np.uint8) % 10
        for what, array in zip(("images-idx3", "labels-idx1"), arrays[part], strict=True):
            (folder / f"{part}-{what}-ubyte{suffix}").write_bytes(pack(idx(array)))
    return arrays


@pytest.mark.parametrize(("pack", "suffix"), [(gzip.compress, ".gz"), (bytes, "")])
def test_idx(tmp_path, pack, suffix):
    arrays = fashion(tmp_path / "raw", pack, suffix)
    data = read_images(tmp_path / "raw")
    assert data.splits["test"].tolist() == [0, 1, 2, 3]
    assert np.array_equal(data.bytes("test")[:, 0].numpy(), arrays["t10k"][0])
    assert np.array_equal(data.images[4:, 0].numpy(), arrays["train"][0])
    assert data.labels[4:].tolist() == arrays["train"][1].tolist()
    one = read_images(tmp_path / "raw" / f"train-images-idx3-ubyte{suffix}", size=32, color="rgb")
    assert one.images.shape == (12, 3, 32, 32)
    assert one.labels.tolist() == arrays["train"][1].tolist()
    (tmp_path / "raw" / f"train-labels-idx1-ubyte{suffix}").unlink()
    assert read_images(tmp_path / "raw").labels is None


def test_idx_plain_and_packed_side_by_side_are_read_once(tmp_path):
    fashion(tmp_path)
    fashion(tmp_path, bytes, "")
    assert len(read_images(tmp_path)) == 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b"\x00\x00\x0d" + b[3:], r"must begin with the magic number 0x00000803 .* got 0x00000d03"),
        (lambda b: b[:-1], r"must hold 9424 bytes for the shape \(12, 28, 28\), got 9423"),
        (lambda b: b + b"0", "must hold 9424 bytes .* got 9425: get it again"),
        (lambda b: b[:7], "must hold"),
        (lambda b: b[:2], "is empty or truncated, 2 bytes"),
        (lambda b: gzip.compress(b)[:-20], "is damaged or truncated"),
        (lambda b: idx(bytes_of(12)), "holds labels, not images"),
        (lambda b: idx(bytes_of(11, 28, 28)), "holds 12 labels and .* holds 11 images"),
        (lambda b: idx(bytes_of(12, 27, 28)), r"holds images of \(27, 28\) and t10k-images-idx3-ubyte of"),
        (lambda b: idx(bytes_of(12, 9, 9)), r"H, W >= 16, got \(12, 1, 9, 9\)"),
    ],
)
def test_bad_idx(tmp_path, change, message):
    fashion(tmp_path, bytes, "")
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=message) as caught:
        read_images(tmp_path)
    assert "train-" in str(caught.value)


def test_checksums(tmp_path, monkeypatch):
    fashion(tmp_path)
    with pytest.raises(
        ValueError, match=r"train-images-idx3-ubyte.gz must have the MD5 8d4fb7e6c68d591d4c3dfef9ec88bf0d"
    ):
        check_public(tmp_path, "fashion-mnist")
    import hashlib

    known = {}
    for file in tmp_path.iterdir():  # as if those of what is in the files were known, and they were packed anew
        inside = gzip.decompress(file.read_bytes())
        known[file.name.removesuffix(".gz")] = (hashlib.md5(inside).hexdigest(),)
    monkeypatch.setitem(CHECKSUMS, "fashion-mnist", known)
    assert len(check_public(tmp_path, "fashion-mnist")) == 4
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match="there is no t10k-labels-idx1-ubyte in"):
        check_public(tmp_path, "fashion-mnist")


def test_known_checksums_are_md5():
    digests = [digest for files in CHECKSUMS.values() for known in files.values() for digest in known]
    assert len(digests) == 12
    assert all(len(digest) == 32 and int(digest, 16) > 0 for digest in digests)


def cifar(folder):
    folder.mkdir()
    arrays = {}
    for k, name in enumerate(["data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"]):
        arrays[name] = bytes_of(5, 3073, seed=k)
        arrays[name][:, 0] = np.arange(5) + k
        (folder / name).write_bytes(arrays[name].tobytes())
    return arrays


def test_cifar(tmp_path):
    arrays = cifar(tmp_path / "cifar-10-batches-bin")
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "cifar-10-batches-bin", "cifar-10-batches-bin")
    for path in (tmp_path / "cifar-10-batches-bin", tmp_path / "cifar-10-binary.tar.gz"):
        data = read_images(path)
        assert data.class_names == CLASSES
        assert data.splits["test"].tolist() == [10, 11, 12, 13, 14]
        assert data.labels.tolist() == [0, 1, 2, 3, 4, 1, 2, 3, 4, 5, 2, 3, 4, 5, 6]
        red = arrays["test_batch.bin"][0, 1:1025].reshape(32, 32)
        assert np.array_equal(data.images[10, 0].numpy(), red)


def test_bad_cifar(tmp_path):
    cifar(tmp_path / "bin")
    path = tmp_path / "bin" / "data_batch_2.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"data_batch_2.bin must hold records of 3073 bytes, got 15364 bytes"):
        read_images(tmp_path / "bin")
    path.write_bytes(b"\x0a" + whole[1:])
    with pytest.raises(ValueError, match=r"data_batch_2.bin must hold labels 0 .. 9, got 10"):
        read_images(tmp_path / "bin")
    other = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(other, "w:gz") as archive:
        archive.add(path, "cifar-10-batches-py/data_batch_1")
    with pytest.raises(ValueError, match="the version for Python is pickled"):
        read_images(other)
    other.write_bytes(other.read_bytes()[:5000])
    with pytest.raises(ValueError, match="is damaged or truncated"):
        read_images(other)


NAMES = [f"{k:06d}.jpg" for k in range(1, 7)]


@pytest.fixture
def celeba(tmp_path):
    """A zip as CelebA's, with its text files beside it."""
    with zipfile.ZipFile(tmp_path / "img_align_celeba.zip", "w") as archive:
        for k, name in enumerate(NAMES):
            buffer = io.BytesIO()
            Image.fromarray(bytes_of(1, 109, 89, 3, seed=k)[0]).save(buffer, "JPEG")
            archive.writestr(f"img_align_celeba/{name}", buffer.getvalue())
    parts = [0, 0, 1, 0, 2, 2]
    (tmp_path / "list_eval_partition.txt").write_text(
        "".join(f"{n} {p}\n" for n, p in zip(NAMES, parts, strict=True))
    )
    values = ["-1  1", " 1 -1", " 1  1", "-1 -1", "-1  1", " 1  1"]
    lines = [f"{n} {v}" for n, v in zip(NAMES, values, strict=True)]
    (tmp_path / "list_attr_celeba.txt").write_text("\n".join(["6", "5_o_Clock_Shadow Smiling", *lines, ""]))
    return tmp_path


def test_celeba(celeba):
    data = read_images(celeba / "img_align_celeba.zip", size=32, crop=80, color="grey", attribute="Smiling")
    assert {name: at.tolist() for name, at in data.splits.items()} == {
        "train": [0, 1, 3],
        "val": [2],
        "test": [4, 5],
    }
    assert data.class_names == ("-Smiling", "Smiling")
    assert data.labels.tolist() == [1, 0, 1, 0, 1, 1]
    other = read_images(celeba / "img_align_celeba.zip", attribute="5_o_Clock_Shadow")
    assert other.labels.tolist() == [0, 1, 1, 0, 0, 1]
    assert other.size == (109, 89)
    for name in ("list_eval_partition", "list_attr_celeba"):  # as Kaggle gives them
        lines = (celeba / f"{name}.txt").read_text().splitlines()
        header = ["image_id,partition"] if "eval" in name else ["image_id,5_o_Clock_Shadow,Smiling"]
        rows = lines if "eval" in name else lines[2:]
        (celeba / f"{name}.csv").write_text("\n".join([*header, *(",".join(row.split()) for row in rows)]))
        (celeba / f"{name}.txt").unlink()
    again = read_images(celeba / "img_align_celeba.zip", size=32, crop=80, color="grey", attribute="Smiling")
    assert torch.equal(again.labels, data.labels)
    assert all(np.array_equal(again.splits[name], at) for name, at in data.splits.items())


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "list_eval_partition.txt",
            "000003.jpg 1",
            "000003.jpg 7",
            "line 3: must be a file and 0, 1 or 2, got '000003.jpg 7'",
        ),
        ("list_eval_partition.txt", "000003.jpg 1\n", "", "got no line for 000003.jpg: is it of another set"),
        (
            "list_attr_celeba.txt",
            "Smiling",
            "Frowning",
            "must be one of 5_o_Clock_Shadow, Frowning .* got 'Smiling'",
        ),
        ("list_attr_celeba.txt", "000002.jpg  1", "000002.jpg", "line 4: must be a file and 2 values of 1 or -1"),
    ],
)
def test_bad_celeba(celeba, file, old, new, message):
    path = celeba / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_images(celeba / "img_align_celeba.zip", attribute="Smiling")


@pytest.fixture
def lsun(tmp_path):
    """A folder as one of LSUN's."""
    (tmp_path / "data.mdb").write_bytes(zlib.decompress(base64.b85decode(DATABASE)))
    (tmp_path / "lock.mdb").touch()
    return tmp_path


def test_lmdb(lsun):
    data = read_images(lsun, size=16)
    assert len(data) == 40
    assert data.images.flatten(1).eq(5 * torch.arange(40)[:, None]).all()
    assert torch.equal(read_images(lsun / "data.mdb", size=16).images, data.images)
    assert len(read_images(lsun, size=16, limit=7)) == 7
    with pytest.raises(ValueError, match=f"{'0005' * 10} is 80x80 .* and {'0000' * 10} is 16x16"):
        read_images(lsun)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b[:100], "is empty or truncated"),
        (lambda b: b[:5000], "is truncated, or no LMDB database that is read"),
        (lambda b: b[:30000], "is truncated, or no LMDB database"),
        (
            lambda b: b[:16] + bytes(4) + b[20:],
            "the magic number and the version must be 0xbeefc0de and 1, got 0x0",
        ),
        (lambda b: bytes(len(b)), "the magic number"),
    ],
)
def test_bad_lmdb(lsun, change, message):
    path = lsun / "data.mdb"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=message):
        read_images(lsun, size=16)
