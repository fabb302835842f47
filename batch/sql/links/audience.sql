-- Human clicks per country, device and browser.
SELECT country, device, browser, count(*) AS human_clicks
FROM counted_clicks
WHERE kind = 'human'
GROUP BY country, device, browser
ORDER BY human_clicks DESC, country, device, browser
