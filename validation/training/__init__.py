"""Training checks: does the target's training learn, resume, and survive being killed?"""
