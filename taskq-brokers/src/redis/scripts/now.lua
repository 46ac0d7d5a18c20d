-- The broker's time in milliseconds.
return number(now())
