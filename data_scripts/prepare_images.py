r"""Make one HDF5 of images from a folder, an archive or a downloaded public set.

This is the command `phasewave images prepare`, with the same options and exit codes. Where the public sets are to
be had (nothing is downloaded here; checksums are in phasewave.images.public_sets, and --expect asks for them):

fashion-mnist  the four files {train,t10k}-{images-idx3,labels-idx1}-ubyte.gz, in one folder, from
               http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/ or
               github.com/zalandoresearch/fashion-mnist, or Debian's package dataset-fashion-mnist
celeba         img_align_celeba.zip, list_eval_partition.txt (the official split) and list_attr_celeba.txt
               (attributes, for --attribute), in one folder, from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html
lsun-bedroom   http://dl.yf.io/lsun/scenes/bedroom_train_lmdb.zip (43 GB) or bedroom_val_lmdb.zip, unpacked
cifar10        https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz

Examples
--------
    python data_scripts/prepare_images.py photos/ --out photos.h5 --size 32 --color grey --dedupe exact
    python data_scripts/prepare_images.py fashion-mnist/ --out fashion.h5 --expect fashion-mnist
    python data_scripts/prepare_images.py celeba/img_align_celeba.zip --out celeba.h5 --crop 148 --size 64 \
        --expect celeba
    python data_scripts/prepare_images.py bedroom_train_lmdb/ --out bedrooms.h5 --size 64 --limit 50000
    python data_scripts/prepare_images.py cifar-10-binary.tar.gz --out cifar10.h5 --expect cifar10

What the file holds is told in phasewave.images.dataset_file; read it with phasewave.images.reading.read_images.
Exit codes: 0 done, 2 wrong use or unsound images, 3 a file is missing, 4 interrupted or disk full; but for 0
nothing is written.
"""

import sys

from phasewave.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["images", "prepare", *sys.argv[1:]]))
