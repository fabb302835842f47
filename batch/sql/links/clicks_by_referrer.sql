-- Human clicks per referring host; NULL is direct.
SELECT referrer, count(*) AS human_clicks
FROM counted_clicks
WHERE kind = 'human'
GROUP BY referrer
ORDER BY human_clicks DESC, referrer
