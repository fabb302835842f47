-- Clicks per day: all, by humans, and how many different visitors those were.
SELECT
    date,
    count(*) AS clicks,
    count(*) FILTER (WHERE kind = 'human') AS human_clicks,
    count(DISTINCT visitor) FILTER (WHERE kind = 'human') AS visitors
FROM counted_clicks
GROUP BY date
ORDER BY date
