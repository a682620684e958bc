log-density impossible/supports.ppl --at impossible/points.json --gradient --hvp
