-- Clicks per day that were no human's, by what made them (bot or preview), and of how many links.
SELECT date, kind, count(*) AS clicks, count(DISTINCT link) AS links
FROM counted_clicks
WHERE kind <> 'human'
GROUP BY date, kind
ORDER BY date, kind
