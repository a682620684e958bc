simulate flat.ppl --size N=2 --prior -n 3
