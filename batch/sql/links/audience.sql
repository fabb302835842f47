-- Human clicks per country, device and browser.
SELECT country, device, browser, count(*) AS human_clicks
FROM clicks
WHERE type = 'link.clicked' AND kind = 'human'
GROUP BY country, device, browser
ORDER BY human_clicks DESC, country, device, browser
