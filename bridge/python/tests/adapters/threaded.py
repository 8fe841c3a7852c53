import threading
import time


def wait_forever():
    time.sleep(3600)


threading.Thread(target=wait_forever, name="poller", daemon=True).start()


def ping():
    return "pong"
