"""Names of the cases and what they are; without PyTorch, so that ``--help`` and ``--list`` answer at once."""

CHOICES = {
    "rat-K": "RAT(784, K, depth=5, repetitions=2), 256 categories",
    "hclt-K": "hidden Chow-Liu tree over 784 pixels, K states, 256 categories",
    "normal-K": "the same tree over 784 real variables, normal leaves",
    "hmm-K": "homogeneous HMM(32 steps, K states, vocabulary 33279)",
    "pd-K": "Poon-Domingos((28, 28), K, split_intervals=4, max_prod_block_conns=8), 256 categories",
    "sparse-N": "tree over 64 variables, N nodes a region, a random tenth of the sum edges, unstructured",
    "blocks-10": "tree over 64 variables, 512 nodes a region, 10 % of the tiles of 32×32 in every row of tiles",
    "blocks-50": "the same with 50 %",
}

_FULL = "rat-64 rat-256 hclt-64 hclt-256 hmm-512 hmm-2048 pd-64 pd-256 normal-256 sparse-256 blocks-10 blocks-50"
DEFAULT = {"cpu": ["rat-16", "hclt-16", "hmm-64", "pd-8", "sparse-64", "blocks-10"], "cuda": _FULL.split()}
#: ``--table``: all sizes that are compared with PyJuice, and sparse circuits, at two batch sizes.
_SIZES = "rat-64 rat-256 rat-1024 hclt-64 hclt-256 hclt-1024 hmm-512 hmm-2048 hmm-6144 pd-64 pd-256"
TABLE = [*_SIZES.split(), "normal-256", "sparse-256", "blocks-10", "blocks-50"]
TABLE_BATCHES = (512, 2048)
