check trial/no_room.ppl --data trial/no_room.json
