raise ImportError("no grpc here")
