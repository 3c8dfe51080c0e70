# twistd -ny examples/cryptodash.tac
# Settings come from the environment and from ./.env, exactly as with `twistd cryptodash`.
from cryptodash.tap import make_application

application = make_application()
