simulate flat.ppl --size N --prior -n 3
