check impossible/term.ppl --data impossible/term.json
