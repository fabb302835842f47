-- Events of every topic and type per hour, by the time of the event (UTC).
SELECT topic, type, date_trunc('hour', time) AS hour, count(*) AS events
FROM events
GROUP BY topic, type, hour
ORDER BY topic, type, hour
