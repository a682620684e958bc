check impossible/support.ppl --data impossible/support.json
