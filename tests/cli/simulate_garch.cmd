simulate ../../examples/garch/model.ppl --prior -n 2
