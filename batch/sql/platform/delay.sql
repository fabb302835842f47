-- How long after they happened events were appended, per topic and day: the median and the worst.
SELECT
    topic,
    date,
    count(*) AS events,
    quantile_cont(appended_ms - time_ms, 0.5) / 1000 AS median_s,
    max(appended_ms - time_ms) / 1000 AS max_s
FROM events
GROUP BY topic, date
ORDER BY topic, date
