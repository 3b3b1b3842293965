"""What the tests share: real servers, test images, and waiting without sleeping."""
