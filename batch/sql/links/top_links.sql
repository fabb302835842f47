-- The hundred links with the most human clicks, with their visitors (per day) and last click.
SELECT
    tenant,
    link,
    count(*) AS human_clicks,
    count(DISTINCT visitor) AS visitors,
    max(time) AS last_clicked
FROM counted_clicks
WHERE kind = 'human'
GROUP BY tenant, link
ORDER BY human_clicks DESC, tenant, link
LIMIT 100
