from twisted.application.service import ServiceMaker

cryptodash = ServiceMaker(
    "cryptodash",
    "cryptodash.tap",
    "Crypto market data from exchanges to dashboards over one WebSocket.",
    "cryptodash",
)
