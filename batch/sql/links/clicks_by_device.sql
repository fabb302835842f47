-- Human clicks per device and operating system; NULL is not known.
SELECT device, os, count(*) AS human_clicks
FROM counted_clicks
WHERE kind = 'human'
GROUP BY device, os
ORDER BY human_clicks DESC, device, os
