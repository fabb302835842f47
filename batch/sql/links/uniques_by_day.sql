-- How many different humans clicked each link on each day.
SELECT date, tenant, link, count(DISTINCT visitor) AS visitors
FROM counted_clicks
WHERE kind = 'human'
GROUP BY date, tenant, link
ORDER BY date, visitors DESC, tenant, link
