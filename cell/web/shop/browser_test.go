package shop_test

func closeBrowser() {}
