simulate gauss.ppl --prior -n 3 --json
