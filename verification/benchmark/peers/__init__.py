"""The programs that one would write otherwise, each entered as ours is: two apps that uvicorn serves."""
