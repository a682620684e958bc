simulate trend.ppl --data trend_new.json --prior -n 2
