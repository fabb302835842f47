-- Human clicks per country, with its visitors (per day); NULL is not known.
SELECT country, count(*) AS human_clicks, count(DISTINCT visitor) AS visitors
FROM counted_clicks
WHERE kind = 'human'
GROUP BY country
ORDER BY human_clicks DESC, country
