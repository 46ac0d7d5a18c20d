-- Counts a queue. Answer: {ready, scheduled, retrying, running, dead}.
return counts()
