check nosuch.ppl
