log-density impossible/supports.ppl --at impossible/last_wrong.json
