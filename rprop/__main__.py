"""`python -m rprop` tells the method's story."""

from rprop.teaching.story import main

if __name__ == "__main__":
    main()
