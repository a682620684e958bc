check gauss.ppl --data nosuch.json
