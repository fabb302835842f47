-- Where human clicks came from: the referring host and the campaign (UTM), without direct ones.
SELECT referrer, utm_source, utm_medium, utm_campaign, count(*) AS human_clicks
FROM counted_clicks
WHERE
    kind = 'human'
    AND (referrer IS NOT NULL OR utm_source IS NOT NULL)
GROUP BY referrer, utm_source, utm_medium, utm_campaign
ORDER BY human_clicks DESC, referrer, utm_source, utm_medium, utm_campaign
