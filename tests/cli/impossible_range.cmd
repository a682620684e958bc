check impossible/range.ppl --data impossible/range.json
